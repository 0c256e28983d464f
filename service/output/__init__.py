"""A job's output, wherever it is: recorded, or still coming, here or at another process.

outputs     finds, reads and follows it
parts       items as they are sent
included    what of it a job's answer includes
"""
