"""What goes out to other people's servers beside the call path; each may fail without harm to any call."""
