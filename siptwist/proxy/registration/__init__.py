"""
Who is where: bindings, registrars, and who may register.  Pure.
"""
