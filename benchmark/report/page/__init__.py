"""The report for a browser: one HTML file that needs no network, or a folder of pages."""
