"""What happens by itself: schedules, sensors, files that arrive, and alerts."""
