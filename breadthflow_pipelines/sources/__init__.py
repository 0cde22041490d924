"""Where bars, members and published counts come from: one protocol, one file per source. None knows the store."""
