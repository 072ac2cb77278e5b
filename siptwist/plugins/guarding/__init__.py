"""
Plugins that watch: who attacks, how we are seen, and what is going on.
"""
