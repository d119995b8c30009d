"""Streams: subscription, heartbeat, resubscription and age."""
