"""Make ids, numbers and times of what files hold, and say what is wrong with them."""
