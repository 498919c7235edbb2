int whitespace; 
int before; 	/* a tab */
