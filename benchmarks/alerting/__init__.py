"""Our alerts beside the plain form of the SRE workbook, over simulated weeks and over cases known to go wrong."""
