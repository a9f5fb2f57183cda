"""Where trainings and endpoints run. One module or package a backend."""
