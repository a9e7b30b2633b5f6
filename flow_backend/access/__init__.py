"""Who may call: API keys, what each may do, and how much of it. See docs/security.md."""
