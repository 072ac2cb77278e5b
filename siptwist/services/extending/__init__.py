"""
Asks plugins, stage by stage.
"""
