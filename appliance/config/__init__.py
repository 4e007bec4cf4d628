"""Declared settings, the conf.d loader, differences between two configurations, the generated reference."""
