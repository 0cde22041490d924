"""What makes market data doubtful: pure rules over bars and counts. What is done about it is decided elsewhere."""
