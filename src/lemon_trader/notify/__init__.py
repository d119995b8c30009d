"""Telling the operator where they are: alerts to web addresses, programs and services, and a heartbeat. Nothing here can stall trading."""
