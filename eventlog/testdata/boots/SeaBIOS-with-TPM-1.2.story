Secure Boot: not measured
started by: 
command line: 

Boot chain
  bound    firmware said: Start Option ROM Scan
  bound    firmware said: Calling INT 19h
