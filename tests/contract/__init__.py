"""What docs/ says in a form that machines read, made from the models: `python -m tests.contract` writes it."""
