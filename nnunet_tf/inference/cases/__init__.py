"""Many scans, on this machine or a cluster, and the files written for each."""
