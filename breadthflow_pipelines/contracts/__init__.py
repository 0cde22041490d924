"""What a frame must look like at each boundary, as pandera schemas. Rows that break a rule come out with reasons."""
