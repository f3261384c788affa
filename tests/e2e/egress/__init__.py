"""What sandboxes that may reach some hosts by name can reach, among hosts that the tests made themselves."""
