"""Shows the main job from an empty machine to answers out of sandboxes, as a user would do it."""
