"""What the operating system gives: processors, memory, locks."""
