"""The long-running controller: when to start a pass, and how people and monitors see that it does.

Belongs here: ticks, webhooks, signals, health, metrics, logging set-up. Does not belong here: what a pass
does. A tick, a webhook or a person only asks for a pass soon; nothing of what they sent travels into it.
"""
