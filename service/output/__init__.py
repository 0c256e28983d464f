"""A job's output, wherever it is: recorded, or still coming, here or at another process.

outputs     finds, reads and follows it
included    what of it a job's answer includes
"""
