"""Rules that find implausible bars and counts, restated histories and incomplete months. Pure; acts on nothing."""
