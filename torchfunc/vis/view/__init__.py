"""View: a model as one file that a browser opens: its graph, its layers, what they weigh and cost, its code."""
