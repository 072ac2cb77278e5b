"""
The process: who may use it, signals, privileges, and what the system hears of it.
"""
