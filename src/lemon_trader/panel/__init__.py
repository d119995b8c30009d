"""The interactive panel: a face of a process of its own that looks at the engine, speaks to it, and can start one."""
