"""What happens without anybody asking: schedules, sensors, files that arrive, and what alerts say."""
