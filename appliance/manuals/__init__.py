"""Chapters of the manual that no declaration holds, in Markdown; `jackfield reference` puts them together."""
