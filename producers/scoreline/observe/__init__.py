"""What a process tells about itself: metrics, whether it lives, whether it can work, one form of log.

Nothing here is loaded by `import scoreline`, and nothing is counted in a process that has not called `meter.start`.
"""
