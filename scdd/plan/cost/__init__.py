"""What an experiment costs, known before it runs.

work.py: an amount of work. networks.py: that of an image's pass through a network. squeezes.py,
learned.py, stages.py: what the jobs of each stage do. machines.py: how fast a machine is.
history.py: what earlier jobs took. estimate.py puts it together, table.py tells it, and
show.py does all of it for a configuration file.
"""
