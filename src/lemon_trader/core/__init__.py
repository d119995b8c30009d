"""The decision core: facts in, wants and commands out; no clock, socket, file, thread or random number."""
