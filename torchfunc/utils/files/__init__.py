"""Files of data: fetched, unpacked, read, and listed by their folders."""
