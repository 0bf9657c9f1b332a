"""Verbs that list what there is: tasks, methods, models, and a task's prompts."""
