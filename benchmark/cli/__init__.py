"""The console command, a file a verb; nothing heavy is imported before a verb needs it."""
