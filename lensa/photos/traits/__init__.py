"""What is measured of one photo: Pillow and the standard library, a file a trait."""
