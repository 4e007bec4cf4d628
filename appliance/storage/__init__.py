"""Repositories: what outlives the process. The only room that knows asyncio."""
