"""What puts tasks in: watchers of folders, pollers of sources, the scheduler of ticks."""
