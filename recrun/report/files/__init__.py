"""Write the reports in a run folder: metrics, log, event files, summary and plots."""
