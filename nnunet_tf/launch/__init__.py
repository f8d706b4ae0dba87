"""Starting the processes that train together: on which machines, on which cores, and what of their words is shown."""
