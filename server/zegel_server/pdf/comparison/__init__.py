"""Drawing pages and comparing what they show, as a reader would see it."""
