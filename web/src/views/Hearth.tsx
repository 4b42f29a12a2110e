// The mark: an arch with a fire in it.

export function Hearth({ size, alive = false }: { size: number; alive?: boolean }) {
  return (
    <svg class={alive ? "hearth alive" : "hearth"} width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path class="hearth-stone" d="M3 29V15a13 13 0 0 1 26 0v14a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1Z" />
      <path class="hearth-inside" d="M7 30V16a9 9 0 0 1 18 0v14Z" />
      <path
        class="hearth-flame"
        d="M16 10c.6 3.2 5.400 5.600 5.400 11a5.400 5.400 0 0 1-10.800 0c0-2.200 1-3.600 2.200-5 .2 1.400.7 2.100 1.500 2.500C14 15.500 14.400 12 16 10Z"
      />
      <path class="hearth-heart" d="M16.200 18.500c.4 1.500 2.300 2.400 2.300 4.700a2.500 2.500 0 0 1-5 0c0-2 2.200-2.600 2.700-4.700Z" />
    </svg>
  );
}
