"""What is made of a model's answers on the test split."""
