"""Methods and studies, one a file, in a folder named by the question that they answer."""
