"""The parts of torch that only tell a program where it runs: on CPUs, eagerly, in one process."""
