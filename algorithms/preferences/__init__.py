"""What preference learning on episodes shares: pairs, search trees, and the step they drive."""
