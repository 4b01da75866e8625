"""The only room that touches the operating system: files, paths, processes, children, the console."""
