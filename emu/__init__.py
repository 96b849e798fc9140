"""vkemu: the computer and the host kernel under a virtual kernel."""
