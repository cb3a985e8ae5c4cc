# Count the primes below the first argument by trial division, and say how far it is.
limit=$1
count=0
number=2
while [ "$number" -lt "$limit" ]; do
  divisor=2
  while [ $((divisor * divisor)) -le "$number" ] && [ $((number % divisor)) -ne 0 ]; do
    divisor=$((divisor + 1))
  done
  if [ $((divisor * divisor)) -gt "$number" ]; then count=$((count + 1)); fi
  if [ $((number % 1000)) -eq 0 ]; then echo "below $number: $count"; fi
  number=$((number + 1))
done
echo "primes below $limit: $count"
