"""Anthropic's protocol: `router` has its routes."""

from __future__ import annotations

from hearth.server.anthropic.messages import router

__all__ = ["router"]
