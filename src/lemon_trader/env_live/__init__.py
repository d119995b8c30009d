"""The real world behind the seam: a monotonic clock, one asyncio loop, sockets, files."""

from lemon_trader.env_live.live import LiveEnv, new_loop
from lemon_trader.env_live.proxy import Proxies, ProxyError
from lemon_trader.env_live.store import BadName, FolderStore

__all__ = ["BadName", "FolderStore", "LiveEnv", "Proxies", "ProxyError", "new_loop"]
